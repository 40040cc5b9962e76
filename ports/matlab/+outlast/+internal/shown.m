function text = shown(value)
%SHOWN  A value in a message: itself where it is short, else its class and size.
    if ischar(value) && size(value, 1) == 1
        text = ['''' value ''''];
    elseif (isnumeric(value) || islogical(value)) && isscalar(value)
        text = num2str(double(value));
    else
        text = [class(value) ' of size ' mat2str(size(value))];
    end
end
