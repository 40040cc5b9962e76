function settle_alone(ck)
%SETTLE_ALONE  Take over a folder without the supervisor's help: remove what a kill left behind, and say what holds.
%   Requests to stop or save were for an attempt that has ended: left, they would stop this one at once.
    entries = dir(ck.folder);
    names = {entries.name};
    for name = names(~cellfun('isempty', regexp(names, '^new-\d+\.mat$', 'once')))
        delete(fullfile(ck.folder, name{1}));
    end
    if isempty(ck.control)
        outlast.internal.remove(ck.stop);
        outlast.internal.remove(ck.request);
    else
        outlast.internal.register(ck);
    end
    held = '';
    if ~outlast.internal.can_sync()
        held = '; nothing here makes files durable: a loss of power may cost the last ones';
    end
    outlast.internal.say('saving every %.4g s in %s%s', ck.every_s, ck.folder, held);
end
