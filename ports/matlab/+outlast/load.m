function [s, resumed] = load(ck, s0)
%LOAD  The newest good state, or s0 where nothing was saved yet. The random generators are put back with it.
%   [s, resumed] = outlast.load(ck, s0)
%
%   s0 is a scalar struct: the state that the computation begins with. A saved state must have all of its fields.
%   Where states are there and none is good, that is an error, and no new beginning.
%   See also outlast.open, outlast.tick.
    global OUTLAST_TICKS OUTLAST_LOOK_S
    live = outlast.internal.current(ck);
    outlast.internal.inspect(s0);
    if ck.supervised
        [s, head] = outlast.internal.restored();
    else
        [s, head] = outlast.internal.newest(ck.folder);
    end
    resumed = ~isempty(head) && ~head.empty;
    if ~isempty(head)
        live.base = head.step;
        live.saved = head.step;
        live.finished = head.done;
    end
    if resumed
        outlast.internal.fits(s, s0, head);
        outlast.internal.put_random(head.random);
        outlast.internal.say('going on from step %.0f', head.step);
    else
        outlast.internal.get_random();  % refuses now what it would refuse at the first save
        s = s0;
    end
    OUTLAST_TICKS = 0;
    OUTLAST_LOOK_S = 0;
    live.loaded = true;
    outlast.internal.live(live);
end
