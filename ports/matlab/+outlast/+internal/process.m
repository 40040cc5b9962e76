function pid = process()
%PROCESS  This process's id.
    if outlast.internal.is_octave()
        pid = getpid();
    else
        pid = feature('getpid');
    end
end
