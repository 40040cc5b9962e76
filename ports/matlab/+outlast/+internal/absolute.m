function path = absolute(path)
%ABSOLUTE  The path from the root, so that a later cd changes nothing.
    if isempty(regexp(path, '^(/|\\|[A-Za-z]:)', 'once'))
        path = fullfile(pwd(), path);
    end
end
