function sync(path)
%SYNC  Make a file or folder durable, where that can be done.
    if outlast.internal.can_sync()
        quoted = ['''' strrep(path, '''', '''\''''') ''''];
        if system(['sync ' quoted ' >/dev/null 2>&1']) ~= 0
            outlast.internal.say('it is not known whether %s would survive a loss of power: sync failed', path);
        end
    end
end
