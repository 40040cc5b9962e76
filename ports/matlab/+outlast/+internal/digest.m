function text = digest(path, like)
%DIGEST  What stands in a state's name, to notice damage: the MD5 of the file; of one longer than 64 MiB, the MD5 of the
%   MD5s of its pieces of 64 MiB, in hexadecimal. Where nothing can digest (a MATLAB without Java), 'length123'.
%   like: a digest to compare it with; the result is of its kind.
    PIECE_BYTES = 64 * 1024 * 1024;
    file = fopen(path, 'r');
    if file < 0
        error('outlast:damage', 'outlast: %s cannot be read', path);
    end
    closing = onCleanup(@() fclose(file));
    digests = {};
    size_bytes = 0;
    piece = fread(file, PIECE_BYTES, '*uint8');
    while ~isempty(piece) || isempty(digests)
        digests{end + 1} = outlast.internal.md5(piece); %#ok<AGROW>
        size_bytes = size_bytes + numel(piece);
        piece = fread(file, PIECE_BYTES, '*uint8');
    end
    text = digests{1};
    if numel(digests) > 1
        text = outlast.internal.md5(uint8([digests{:}]'));
    end
    if isempty(digests{1}) || (nargin > 1 && strncmp(like, 'length', 6))
        text = sprintf('length%.0f', size_bytes);
    end
end
