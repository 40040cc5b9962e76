function live = commit(ck, live, s, step, final)
%COMMIT  Write the state of a step under another name, then give it its own: it is there whole or not at all.
%   s = []: there is no state, only a step. s = @() ...: what makes the state, only now that it is needed.
    if isa(s, 'function_handle')
        s = s();  % before the generators are looked at: it might draw
    end
    empty = isempty(s) && ~isstruct(s);
    if empty
        s = struct();
    end
    plain = outlast.internal.inspect(s);
    head = struct('format', 1, 'writer', outlast.internal.writer(), 'step', step, 'done', final, 'empty', empty, ...
        'fields', {fieldnames(s)}, 'random', outlast.internal.get_random());
    draft = fullfile(ck.folder, sprintf('new-%d.mat', outlast.internal.process()));
    try
        outlast.internal.write(draft, s, head, plain);
        if ck.supervised  % which digests, syncs and commits it
            outlast.internal.move(draft, fullfile(ck.folder, sprintf('%.0f', step)));
        else
            outlast.internal.keep(ck, draft, step, live.saved);
        end
    catch why
        outlast.internal.remove(draft);
        error('outlast:write', 'outlast: step %.0f was not saved: %s', step, ...
            regexprep(why.message, '^outlast: ', ''));
    end
    live.saved = step;
    live.saved_at_s = toc(ck.clock);
    live.finished = final;
    outlast.internal.live(live);
end
