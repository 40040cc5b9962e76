function check_end(path)
%CHECK_END  An error unless the end mark stands at the file's end. (Octave's save is silent when the disk is full.)
    mark = outlast.internal.end_mark();
    reach = numel(mark) + 64;
    file = fopen(path, 'r');
    if file < 0
        error('outlast:write', 'cannot read %s', path);
    end
    if fseek(file, -reach, 'eof') ~= 0
        fseek(file, 0, 'bof');
    end
    tail = fread(file, reach, '*uint8');
    fclose(file);
    if isempty(strfind(char(tail(:)'), char(mark)))
        error('outlast:write', 'not all of it could be written to %s (is the disk full, or a quota met?)', path);
    end
end
