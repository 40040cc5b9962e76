function done(ck, s)
%DONE  The computation is finished: saves the last state, marked done.
%   outlast.done(ck, s)      with this state
%   outlast.done(ck)         with the one saved last
%
%   Below `outlast run` it is not started again after that. Alone, the file `done` appears in the folder, and the next
%   outlast.load gives the final state, so that a loop that begins behind its counter has nothing left to do.
%   See also outlast.tick.
    live = outlast.internal.current(ck);
    [step, passed] = outlast.internal.step(live);
    if nargin > 1
        if passed || ~live.finished
            live = outlast.internal.commit(ck, live, s, max(step, live.saved + 1), true);
        end
    elseif live.saved < 0 && ck.supervised
        live = outlast.internal.commit(ck, live, [], max(step, 0), true);  % so that there is something to mark
    end
    outlast.internal.mark_done(ck, live);
    outlast.internal.live([]);
end
