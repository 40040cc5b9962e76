function yes = is_octave()
%IS_OCTAVE  Whether this is Octave, not MATLAB.
    yes = exist('OCTAVE_VERSION', 'builtin') ~= 0;
end
