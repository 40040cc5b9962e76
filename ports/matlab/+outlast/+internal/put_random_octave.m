function put_random_octave(random)
%PUT_RANDOM_OCTAVE  The five generators' states.
    rand('twister', random.rand);
    randn('twister', random.randn);
    rande('twister', random.rande);
    randg('twister', random.randg);
    randp('twister', random.randp);
end
