-- Gives tasks that are due, the longest due first, and puts each off. What is no task is removed: it is not ours.
-- ARGV  2 most, 3 how many milliseconds they are put off
-- Returns how many milliseconds it is until another is due, -1 when none is; and for each task: it, and whether it is sent, 0 or 1.
local tasks = {}
for _, task in ipairs(call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ARGV[2])) do
  if #task == 32 then
    move(task, now + ARGV[3])
    table.insert(tasks, task)
    table.insert(tasks, call('SISMEMBER', sent, task))
  else
    call('ZREM', due, task)
  end
end
local first = call('ZRANGE', due, 0, 0, 'WITHSCORES')
return {first[2] and tostring(math.max(0, first[2] - now)) or '-1', tasks}
