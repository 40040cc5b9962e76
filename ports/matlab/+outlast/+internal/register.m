function register(ck)
%REGISTER  The supervisor is there but knows no store: tell it to ask by files and to send no signals.
    outlast.internal.put_text(fullfile(ck.control, 'program.json'), sprintf( ...
        '{"pid": %d, "store": %s, "notice": "file"}\n', outlast.internal.process(), jsonencode(ck.folder)));
end
