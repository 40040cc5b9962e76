function put_random(random)
%PUT_RANDOM  Put the random generators back to where they stood at a save.
    if outlast.internal.is_octave()
        outlast.internal.put_random_octave(random);
    else
        outlast.internal.put_random_matlab(random);
    end
end
