-- Keeps a task.
-- ARGV  2 task, 3 milliseconds until it is due, 4 whether it is sent, 0 or 1, 5 most tasks
-- Returns 1, -1 when there are too many.
local task, at = ARGV[2], now + ARGV[3]
if call('ZSCORE', due, task) then
  move(task, at)
elseif call('ZCARD', due) >= tonumber(ARGV[5]) then
  return -1
else
  call('ZADD', due, at, task)
end
if ARGV[4] == '1' then
  call('SADD', sent, task)
end
return 1
