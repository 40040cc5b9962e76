function [s, head] = newest(folder)
%NEWEST  The newest state in a folder that is good; empty where there is none at all. Damaged ones are set aside.
    states = outlast.internal.states(folder);
    for state = states
        try
            if ~strcmp(outlast.internal.digest(state.path, state.digest), state.digest)
                error('outlast:damage', 'outlast: %s is damaged: its bytes are not those that were saved', state.path);
            end
            [s, head] = outlast.internal.read(state.path);
        catch why
            if ~strcmp(why.identifier, 'outlast:damage')
                rethrow(why);
            end
            outlast.internal.say('%s; it is set aside in quarantine, and an older one used', ...
                regexprep(why.message, '^outlast: ', ''));
            outlast.internal.set_aside(folder, state.path);
            continue
        end
        return
    end
    if ~isempty(states)
        error('outlast:damage', ['outlast: nothing saved in %s can be restored; it is in quarantine there. To start ' ...
            'from the beginning, remove the folder or name another'], folder);
    end
    s = [];
    head = [];
end
