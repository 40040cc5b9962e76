function remove(path)
%REMOVE  Remove a file, if it is there.
    if outlast.internal.there(path)
        delete(path);
    end
end
