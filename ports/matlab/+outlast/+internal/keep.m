function keep(ck, draft, step, known)
%KEEP  What the supervisor would do: digest, sync, give the final name, remove what is old. known: the step saved last.
    states = outlast.internal.states(ck.folder);
    if ~isempty(states) && states(1).step > known
        error('outlast:busy', ['outlast: another program saves in %s: it has saved step %.0f since. Give each a folder ' ...
            'of its own'], ck.folder, states(1).step);
    end
    name = sprintf('%.0f-%s.mat', step, outlast.internal.digest(draft));
    outlast.internal.sync(draft);
    outlast.internal.move(draft, fullfile(ck.folder, name));
    outlast.internal.sync(ck.folder);
    outlast.internal.remove(fullfile(ck.folder, 'done'));  % of a run that has more to do now
    for old = states(ck.keep:end)
        delete(old.path);
    end
    if ~isempty(ck.control)
        outlast.internal.report(ck, step, false);
    end
end
