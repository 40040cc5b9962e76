function make_folder(folder)
%MAKE_FOLDER  Make a folder and those above it; fine where it is there.
    [made, why] = mkdir(folder);
    if ~made
        error('outlast:write', 'outlast: cannot make the folder %s: %s', folder, why);
    end
end
