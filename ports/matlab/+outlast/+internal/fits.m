function fits(s, s0, head)
%FITS  An error unless a saved state can be this program's: it has every field that the program begins with.
    missing = setdiff(fieldnames(s0), fieldnames(s));
    if ~isempty(missing)
        error('outlast:fit', ['outlast: the state saved at step %.0f lacks %s, which this program begins with; ' ...
            'it has %s. For another computation name another folder or store'], ...
            head.step, strjoin(missing(:)', ', '), strjoin(fieldnames(s)', ', '));
    end
    tool = strtok(outlast.internal.writer());
    if ~strcmp(tool, strtok(head.writer))
        error('outlast:fit', ['outlast: the state of step %.0f was saved by %s; the random numbers of %s cannot be ' ...
            'gone on with here'], head.step, head.writer, head.writer);
    end
end
