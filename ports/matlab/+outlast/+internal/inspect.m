function plain = inspect(s)
%INSPECT  Refuse, by its name, what cannot be saved and taken back. Says whether all of it is plain values.
    if ~isstruct(s) || ~isscalar(s)
        error('outlast:state', 'outlast: the state is a scalar struct, not %s', outlast.internal.shown(s));
    end
    plain = outlast.internal.inspect_value(s, 's');
end
