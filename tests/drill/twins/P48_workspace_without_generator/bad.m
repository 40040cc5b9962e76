% P48: the whole workspace is saved, but the generators are not in it.
%
% drill: kill step:7
% cause: generator-not-saved
rand("twister", 1);
step = 0;
total = 0;
if exist("state.mat", "file")
  load("state.mat");
end
while step < 17
  total = total + rand();
  step = step + 1;
  if mod(step, 5) == 0
    save("-binary", "new.mat");
    rename("new.mat", "state.mat");
  end
  printf("step %d total=%.12f\n", step, total);
  fflush(stdout);
  if exist(sprintf("hold-%d", step))
    fgetl(fopen(sprintf("hold-%d", step)));  % as long as the tests like
  end
end
file = fopen("result.txt", "w");
fprintf(file, "%.17g", total);
fclose(file);
