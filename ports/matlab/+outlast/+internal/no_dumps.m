function no_dumps(ck)
%NO_DUMPS  Octave writes its workspace to `octave-workspace` when a signal ends it: large, torn, and no checkpoint.
    if ck.octave
        sigterm_dumps_octave_core(false);
        sighup_dumps_octave_core(false);
        crash_dumps_octave_core(false);
    end
end
