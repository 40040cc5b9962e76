function names = easy_classes()
%EASY_CLASSES  The classes of which every value can be saved in the plain format.
%   MATLAB's -v6 keeps characters only in the encoding of the machine, and whether it keeps 64-bit integers is not said.
    names = {'double', 'single', 'logical', 'int8', 'int16', 'int32', 'uint8', 'uint16', 'uint32'};
    if outlast.internal.is_octave()
        names = [names, {'char', 'int64', 'uint64'}];
    end
end
