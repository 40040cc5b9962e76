function [step, passed] = step(live)
%STEP  The step that the program has reached: that of what was loaded, and the boundaries since.
    global OUTLAST_TICKS
    if isempty(OUTLAST_TICKS)  % after `clear all` in the middle of it
        OUTLAST_TICKS = max(live.saved - live.base, 0) + 1;
    end
    if ~live.loaded
        error('outlast:usage', 'outlast: call [s, resumed] = outlast.load(ck, s0) before the first outlast.tick');
    end
    passed = OUTLAST_TICKS > 0;
    step = live.base + OUTLAST_TICKS;
end
