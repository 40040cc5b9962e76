function plain = inspect_leaf(value, name)
%INSPECT_LEAF  Inspect what is neither a struct nor a cell array. MATLAB saves objects too, but not in the plain format.
    octave = outlast.internal.is_octave();
    if isa(value, 'function_handle')
        error('outlast:state', ['outlast: %s is a function handle: code is no state. Keep it outside, and make it ' ...
            'anew at each start'], name);
    end
    if isjava(value) || (octave && isobject(value))
        error('outlast:state', ['outlast: %s is an object (%s), which cannot be saved here: put what it holds into ' ...
            'the state, as arrays, structs or cells'], name, class(value));
    end
    plain = any(strcmp(class(value), outlast.internal.easy_classes())) || (ischar(value) && all(value(:) < 128));
end
