function equal = bits(a, b)
%BITS  Whether two values are the same to the last bit: class, size, sparsity, complexity, signs of zero, NaN's bits.
    equal = strcmp(class(a), class(b)) && isequal(size(a), size(b)) && issparse(a) == issparse(b) ...
        && iscomplex(a) == iscomplex(b);
    if ~equal
        return
    end
    if isstruct(a)
        equal = isequal(fieldnames(a), fieldnames(b));
        for name = fieldnames(a)'
            for at = 1:numel(a)
                equal = equal && bits(a(at).(name{1}), b(at).(name{1}));
            end
        end
    elseif iscell(a)
        for at = 1:numel(a)
            equal = equal && bits(a{at}, b{at});
        end
    elseif iscomplex(a)
        equal = bits(real(a), real(b)) && bits(imag(a), imag(b));
    elseif isfloat(a)
        kinds = struct('double', 'uint64', 'single', 'uint32');
        a = full(a);
        b = full(b);
        equal = isequal(typecast(a(:), kinds.(class(a))), typecast(b(:), kinds.(class(b))));
    else
        equal = isequal(a, b);
    end
end
