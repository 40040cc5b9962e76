function set_aside(folder, path)
%SET_ASIDE  Move a damaged state to quarantine: it is never deleted.
    quarantine = fullfile(folder, 'quarantine');
    outlast.internal.make_folder(quarantine);
    [~, name, ending] = fileparts(path);
    outlast.internal.move(path, fullfile(quarantine, [name ending]));
end
