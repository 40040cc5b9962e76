function write(path, s, head, plain)
%WRITE  The state into a file that `load` reads: outlast_head, state, and outlast_end, without which it was cut off.
%   None is compressed: compression takes 30 times as long, and the grace before a kill is short.
%   Octave: -binary. It keeps every value's type and bits and has no limit of 2 GB; -v6 is as fast, but Octave's loses
%   sparse logicals, and complex numbers without an imaginary part, and cannot read back every struct; -hdf5 crashes.
%   MATLAB: -v6 where it can hold the state (plain values, less than 2 GB), else -v7.3 without compression.
    outlast_head = head;
    state = s;
    outlast_end = outlast.internal.end_mark();
    names = {'outlast_head', 'state', 'outlast_end'};
    if outlast.internal.is_octave()
        save('-binary', path, names{:});
        outlast.internal.check_end(path);
        return
    end
    about = whos('state');
    if plain && about.bytes < 1.5e9  % of the 2 GB that -v6 can hold: its own tables come on top
        save(path, names{:}, '-v6');
        outlast.internal.check_end(path);
    else
        save(path, names{:}, '-v7.3', '-nocompression');
        about = whos('-file', path);  % a variable that does not fit is left out with a mere warning
        if ~all(ismember(names, {about.name}))
            error('outlast:write', 'MATLAB has not written all of it to %s', path);
        end
    end
end
