function live = current(ck)
%CURRENT  What is known of the run that ck stands for; an error if ck is not the one that is open.
    live = outlast.internal.live();
    if ~isstruct(ck) || ~isfield(ck, 'clock')
        error('outlast:usage', 'outlast: the first argument is what outlast.open returned, not %s', ...
            outlast.internal.shown(ck));
    end
    if isempty(live) || live.clock ~= ck.clock
        error('outlast:usage', 'outlast: this run is not open: it is done, or another one was opened since');
    end
end
