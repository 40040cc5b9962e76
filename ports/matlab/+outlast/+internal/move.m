function move(from, to)
%MOVE  Give a file its final name in one step, within one file system: it is there whole or not at all.
%   Octave's rename is rename(2), and so is Java's. Without Java, MATLAB's movefile within a folder is one as well.
    if outlast.internal.is_octave()
        [failed, why] = rename(from, to);
        moved = failed == 0;
    elseif usejava('jvm')
        moved = java.io.File(from).renameTo(java.io.File(to));
        why = 'the file system refuses';
    else
        [moved, why] = movefile(from, to, 'f');
    end
    if ~moved
        error('outlast:write', 'outlast: cannot rename %s to %s: %s', from, to, why);
    end
end
