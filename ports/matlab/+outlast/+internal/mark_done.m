function mark_done(ck, live)
%MARK_DONE  Say that nothing is left to do.
    if ck.supervised
        outlast.internal.put_text(fullfile(ck.control, 'done'), '');
        return
    end
    outlast.internal.put_text(fullfile(ck.folder, 'done'), '');
    if ~isempty(ck.control)
        outlast.internal.report(ck, max(live.saved, 0), true);
    end
end
