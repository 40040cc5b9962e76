function yes = there(path)
%THERE  Whether a file or folder has that path. stat is Octave's fastest way to ask; MATLAB has none.
    if outlast.internal.is_octave()
        yes = ~isempty(stat(path));
    else
        yes = exist(path, 'file') ~= 0;  % 2: file, 7: folder
    end
end
