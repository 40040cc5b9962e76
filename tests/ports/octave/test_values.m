% What comes back is what was saved, to the last bit, for each kind of value that Octave has.
v = struct();
v.range = 1:5;
v.range_down = 10:-1:1;
v.range_of_fractions = 0:0.1:1;
v.diagonal = 2.5 * eye(3);
v.permutation = eye(4)(:, [2 1 3 4]);
v.sparse = sparse([1 2 9], [1 2 3], [1.5 -2 NaN]);
v.sparse_logical = sparse([true false true]);
v.sparse_complex = sparse([1+2i 0 3]);
v.sparse_none = sparse(4, 3);
v.logical = [true false];
v.logical_none = logical([]);
v.whole = {int8([1 -128]), int16(magic(4)), int32(-7), intmin('int64'), uint8(255), uint16(1), uint32(2), ...
    intmax('uint64')};
v.single = single([pi, NaN, -0]);
v.complex = [1+2i, NaN-Inf*1i];
v.complex_real = complex([1 2], [0 0]);
v.single_complex = single(1+2i);
v.special = [NaN, -Inf, -0, 5e-324, realmax];
v.another_nan = typecast(uint64(9221120237041090851), 'double');
v.text = 'a''b';
v.text_escaped = "tab\t, line\nend, zero\0.";
v.text_utf8 = 'äö€';
v.text_rows = ['ab'; 'cd'];
v.text_none = '';
v.text_no_rows = char(zeros(0, 5));
v.none = zeros(0, 3);
v.three = rand(2, 3, 4);
v.three_none = int32(zeros(2, 0, 3));
v.cells = {1, 'x', {2, {}}, [], zeros(3, 0)};
v.structs = struct('a', {1, 'two', {3}});
v.structs_none = struct('a', {});
v.struct_plain = struct();
v.deep = struct('a', struct('b', struct('c', {{struct('d', 1:3)}})));
v.(repmat('n', 1, 63)) = 1;

ck = outlast.open('every', 0);
[s, resumed] = outlast.load(ck, v);
check(~resumed && bits(s, v), 'a fresh start gives what the program begins with');
outlast.tick(ck, s);
[s, resumed] = outlast.load(outlast.open(), struct());
check(resumed, 'nothing was restored');
for name = fieldnames(v)'
    check(isfield(s, name{1}) && bits(s.(name{1}), v.(name{1})), '%s differs', name{1});
end
check(isequal(fieldnames(s), fieldnames(v)), 'the order of the fields differs');
printf('all held\n');
