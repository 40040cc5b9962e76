function held = live(fresh)
%LIVE  What changes during a run (its step, what was saved, when the next save is due), from one call to the next.
%   The functions' caller holds `ck`, which is a value and cannot change behind its back.
    persistent kept
    if nargin > 0
        kept = fresh;
        mlock();  % or `clear all` in a program would forget it
    end
    held = kept;
end
