function mark = end_mark()
%END_MARK  The last variable of a file: a file in which it stands whole, at the end, was not cut off.
    mark = uint8('outlast: this is the end of the file');
end
