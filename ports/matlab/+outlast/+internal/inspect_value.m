function plain = inspect_value(value, name)
%INSPECT_VALUE  Inspect one value and what it holds; name is how the program would write it.
    plain = true;
    if isstruct(value)
        names = fieldnames(value);
        for n = 1:numel(names)
            held = {value.(names{n})};
            for at = outlast.internal.to_inspect(held)
                inside = [name '.' names{n}];
                if numel(value) > 1
                    inside = sprintf('%s(%d).%s', name, at, names{n});
                end
                plain = outlast.internal.inspect_value(held{at}, inside) && plain;
            end
        end
    elseif iscell(value)
        for at = outlast.internal.to_inspect(value)
            plain = outlast.internal.inspect_value(value{at}, sprintf('%s{%d}', name, at)) && plain;
        end
    else
        plain = outlast.internal.inspect_leaf(value, name);
    end
    if any(size(value) > 2147483647) && outlast.internal.is_octave()
        error('outlast:state', 'outlast: %s has a dimension beyond 2^31 - 1, which Octave cannot read back: reshape it', name);
    end
end
