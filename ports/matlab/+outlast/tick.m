function tick(ck, s)
%TICK  A step boundary: the state is whole here, and this is the only place where it is saved.
%   outlast.tick(ck, s)
%   outlast.tick(ck, @() state())    a function that makes the state: called only if it is saved
%
%   Saves when that is asked for or due. When the run is asked to stop, saves and leaves with exit(85): run me again.
%   Call it after each step, when the counter in s has been set. It reads the clock, and looks for files at most every
%   50 ms, so that a call costs about 15 us in Octave.
%   See also outlast.load, outlast.done.
    global OUTLAST_TICKS OUTLAST_LOOK_S  % as fast as persistent variables, and open and done reach them
    persistent looked_at_s
    OUTLAST_TICKS = OUTLAST_TICKS + 1;
    now_s = toc(ck.clock);
    if now_s < OUTLAST_LOOK_S
        if now_s >= looked_at_s  % if not, the clock was set back
            return
        end
    end
    looked_at_s = now_s;
    OUTLAST_LOOK_S = outlast.internal.boundary(ck, s, now_s);
end
