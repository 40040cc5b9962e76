function [s, head] = restored()
%RESTORED  What the supervisor has put there from the store; it has verified it. Empty where nothing was saved yet.
    s = [];
    head = [];
    folder = getenv('OUTLAST_RESTORE');
    if ~isempty(folder)
        path = fullfile(folder, 'state');
        if ~outlast.internal.there(path)
            error('outlast:fit', ['outlast: the store''s newest checkpoint holds no file `state`: it is another ' ...
                'program''s. Use a store of its own']);
        end
        [s, head] = outlast.internal.read(path);
    end
end
