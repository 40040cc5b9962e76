function random = get_random_octave()
%GET_RANDOM_OCTAVE  The five generators' states. (Octave's own rng leaves rande, randg and randp out.)
    before = rand('twister');
    rand();
    if isequal(before, rand('twister'))  % a draw moves it, unless the old generators are in use
        error('outlast:state', ['outlast: rand(''seed'', ...) has chosen Octave''s old generators, which cannot be ' ...
            'saved exactly: use rand(''twister'', ...)']);
    end
    rand('twister', before);
    random = struct('rand', before, 'randn', randn('twister'), 'rande', rande('twister'), ...
        'randg', randg('twister'), 'randp', randp('twister'));
end
