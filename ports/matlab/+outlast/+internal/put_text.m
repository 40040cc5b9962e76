function put_text(path, text)
%PUT_TEXT  A small file, whole under its name.
    draft = [path '.new'];
    [file, why] = fopen(draft, 'w');
    if file < 0
        error('outlast:write', 'outlast: cannot write %s: %s', draft, why);
    end
    fprintf(file, '%s', text);
    fclose(file);
    outlast.internal.move(draft, path);
end
