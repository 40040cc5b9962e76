function every_s = seconds(every)
%SECONDS  A number of seconds as it is, or '10min', '30s', '2h', '1d' as such.
    if isnumeric(every) && isscalar(every) && every >= 0
        every_s = double(every);
        return
    end
    parts = {};
    if ischar(every)
        parts = regexp(every, '^(\d+(?:\.\d+)?) ?(s|min|m|h|d)$', 'tokens', 'once');
    end
    if isempty(parts)
        error('outlast:usage', 'outlast: every is a number of seconds, or like ''10min'', ''30s'', ''2h''; it is %s', ...
            outlast.internal.shown(every));
    end
    units_s = struct('s', 1, 'min', 60, 'm', 60, 'h', 3600, 'd', 86400);
    every_s = str2double(parts{1}) * units_s.(parts{2});
end
