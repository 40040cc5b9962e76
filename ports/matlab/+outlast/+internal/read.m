function [s, head] = read(path)
%READ  The state in a file, and its head; an error 'outlast:damage' that says why if it is not whole.
    why = '';
    held = [];
    try
        if outlast.internal.is_octave()
            held = load(path);
        else
            held = load(path, '-mat');
        end
    catch failure
        why = failure.message;
    end
    if isempty(why)
        why = outlast.internal.flaw(held);
    end
    if ~isempty(why)
        error('outlast:damage', 'outlast: %s is damaged: %s', path, why);
    end
    head = held.outlast_head;
    if head.format ~= 1
        error('outlast:upgrade', 'outlast: %s has format %d; this version reads format 1', path, head.format);
    end
    s = held.state;
end
