function why = flaw(held)
%FLAW  What is wrong with what was loaded from a file, empty if nothing. One cut between two variables loads without error.
    why = '';
    if ~isstruct(held) || ~isfield(held, 'outlast_head')
        why = 'it is no state that outlast saved';
    elseif ~isfield(held, 'state') || ~isfield(held, 'outlast_end') ...
            || ~isequal(held.outlast_end, outlast.internal.end_mark())
        why = 'it was cut off';
    elseif ~isstruct(held.state) || ~isequal(fieldnames(held.state), held.outlast_head.fields)
        why = 'its fields are not those that were saved';
    end
end
