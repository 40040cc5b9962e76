function report(ck, step, done)
%REPORT  Where the supervisor knows no store: tell it what was saved in the folder.
    answers = {'false', 'true'};
    outlast.internal.put_text(fullfile(ck.control, 'progress.json'), sprintf( ...
        '{"store": %s, "step": %.0f, "done": %s}\n', jsonencode(ck.folder), step, answers{1 + done}));
end
