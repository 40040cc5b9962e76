function text = writer()
%WRITER  Who writes: 'Octave 7.3.0' or 'MATLAB 9.7.0 ...'.
    if outlast.internal.is_octave()
        text = ['Octave ' version()];
    else
        text = ['MATLAB ' version()];
    end
end
