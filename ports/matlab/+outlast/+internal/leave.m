function leave(ck, step)
%LEAVE  Leave after a save, with the status that says: saved, run me again.
    if isempty(ck.control)
        outlast.internal.remove(ck.stop);
    end
    outlast.internal.say('told to stop: saved at step %.0f, leaving with status 85 (run me again)', step);
    if ck.octave
        fflush(stdout);
        exit(85);
    else
        quit(85, 'force');
    end
    error('outlast:left', 'outlast: saved, and left with 85');  % where quit takes effect only later
end
