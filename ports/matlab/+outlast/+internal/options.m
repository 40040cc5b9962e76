function options = options(pairs)
%OPTIONS  The name-value pairs of outlast.open, checked: a mistyped name must not be a run that never saves.
    options = struct('every', '10min', 'keep', 3, 'folder', outlast.internal.own_folder());
    if mod(numel(pairs), 2) ~= 0
        error('outlast:usage', 'outlast: options come in pairs, as in outlast.open(''every'', 600)');
    end
    for at = 1:2:numel(pairs)
        name = pairs{at};
        if ~ischar(name) || ~isfield(options, name)
            error('outlast:usage', 'outlast: there is no option %s; there are every, keep, folder', ...
                outlast.internal.shown(name));
        end
        options.(name) = pairs{at + 1};
    end
    options.every_s = outlast.internal.seconds(options.every);
    if ~isnumeric(options.keep) || ~isscalar(options.keep) || ~(options.keep >= 1) || mod(options.keep, 1) ~= 0
        error('outlast:usage', 'outlast: keep is a whole number of states, 1 or more; it is %s', ...
            outlast.internal.shown(options.keep));
    end
    if ~ischar(options.folder) || isempty(options.folder)
        error('outlast:usage', 'outlast: folder is a path; it is %s', outlast.internal.shown(options.folder));
    end
end
