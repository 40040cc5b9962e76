function states = states(folder)
%STATES  The states in a folder, highest step first, as a row of structs: path, step, digest. No other file is a state.
    entries = dir(folder);
    states = struct('path', {}, 'step', {}, 'digest', {});
    for name = {entries(~[entries.isdir]).name}
        parts = regexp(name{1}, '^(\d{1,15})-([0-9a-f]{32}|length\d+)\.mat$', 'tokens', 'once');
        if ~isempty(parts)
            states(end + 1) = struct('path', fullfile(folder, name{1}), 'step', str2double(parts{1}), ...
                'digest', parts{2}); %#ok<AGROW>
        end
    end
    [~, order] = sort([states.step], 'descend');
    states = reshape(states(order), 1, []);
end
