function refused(identifier, pattern, attempt)
%REFUSED  Check that a call is refused with this identifier, and a message that matches the pattern.
    try
        attempt();
    catch why
        check(strcmp(why.identifier, identifier), 'identifier %s, not %s: %s', why.identifier, identifier, why.message);
        check(~isempty(regexp(why.message, pattern, 'once')), 'message "%s" does not match "%s"', why.message, pattern);
        return
    end
    error('not refused: %s', pattern);
end
