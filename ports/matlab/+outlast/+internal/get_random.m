function random = get_random()
%GET_RANDOM  The state of all random generators that M-code draws from.
    if outlast.internal.is_octave()
        random = outlast.internal.get_random_octave();
    else
        random = outlast.internal.get_random_matlab();
    end
end
