function check(condition, varargin)
%CHECK  The tests' assertion: ends Octave with status 1 and a sentence.
    if ~condition
        error(varargin{:});
    end
end
