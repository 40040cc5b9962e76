function say(form, varargin)
%SAY  One line for a person, on stderr.
    fprintf(2, ['outlast: ' form '\n'], varargin{:});
end
