function next_s = boundary(ck, s, now_s)
%BOUNDARY  What a step boundary does when the clock says: look. Returns until when none needs to look again.
    LOOK_S = 0.05;
    live = outlast.internal.current(ck);
    step = outlast.internal.step(live);
    if now_s < live.looked_at_s  % the clock was set back
        live.saved_at_s = now_s;
    end
    live.looked_at_s = now_s;
    if ck.octave  % stat is the fastest way to ask here; MATLAB has none
        stop = ~isempty(stat(ck.stop));
        asked = ~isempty(stat(ck.request));
    else
        stop = isfile(ck.stop);
        asked = isfile(ck.request);
    end
    if asked
        outlast.internal.remove(ck.request);  % before the save: who asks during it is asked for another one
    end
    if stop || asked || now_s - live.saved_at_s >= ck.every_s
        live = outlast.internal.commit(ck, live, s, step, false);
    end
    outlast.internal.live(live);
    if stop
        outlast.internal.leave(ck, step);
    end
    next_s = min(now_s + LOOK_S, live.saved_at_s + ck.every_s);
end
